//! The small autoencoder for quick pictures (`AutoencoderTiny` of diffusers): plain residual blocks
//! without normalisation.

use imagegen_engine::{Activation, Backend, ConvCall, DeviceTensor, Padding, Tensor};

use super::config::TinySizes;
use super::tiles::{Look, Tiles, each_picture};
use crate::Error;
use crate::loader::Place;

const COLOURS: usize = 3;

#[derive(Debug)]
pub(super) struct AutoencoderTiny<B: Backend> {
    encoder: Vec<Layer<B>>,
    decoder: Vec<Layer<B>>,
}

#[derive(Debug)]
enum Layer<B: Backend> {
    Convolution(B::Conv2d),
    /// To half the size.
    Reduce(B::Conv2d),
    /// To twice the size.
    Enlarge(B::Conv2d),
    Relu,
    Block(Block<B>),
}

/// `relu(input + conv(relu(conv(relu(conv(input))))))`.
#[derive(Debug)]
struct Block<B: Backend> {
    convolutions: [B::Conv2d; 3],
}

/// Counts the layers of torch's `Sequential`, those without weights included.
struct Layers<'p, 'l, 'a, B: Backend> {
    place: &'p Place<'l, 'a, B>,
    list: Vec<Layer<B>>,
    index: usize,
}

impl<'l, 'a, B: Backend> Layers<'_, 'l, 'a, B> {
    fn next(&mut self) -> Place<'l, 'a, B> {
        self.index += 1;
        self.place.at("layers").at(self.index - 1)
    }

    fn blocks(&mut self, count: usize, channels: usize) -> Result<(), Error> {
        for _ in 0..count {
            let place = self.next();
            let conv = |index| place.at("conv").at(index).conv2d(channels, channels, 3);
            let convolutions = [conv(0)?, conv(2)?, conv(4)?];
            self.list.push(Layer::Block(Block { convolutions }));
        }
        Ok(())
    }
}

impl<B: Backend> AutoencoderTiny<B> {
    pub(super) fn load(
        sizes: &TinySizes,
        latents: usize,
        root: &Place<'_, '_, B>,
    ) -> Result<Self, Error> {
        Ok(Self {
            encoder: load_encoder(sizes, latents, &root.at("encoder"))?,
            decoder: load_decoder(sizes, latents, &root.at("decoder"))?,
        })
    }

    pub(super) fn encode(
        &self,
        engine: &B,
        pixels: &Tensor,
        window: Option<usize>,
    ) -> Result<Tensor, Error> {
        // The network works on colours in 0..1.
        let colours = each(pixels, |value| (value + 1.0) / 2.0)?;
        run_in_tiles(engine, &self.encoder, &colours, window)
    }

    pub(super) fn decode(
        &self,
        engine: &B,
        latents: &Tensor,
        window: Option<usize>,
    ) -> Result<Tensor, Error> {
        let soft = |value: f32| (libm::tanh(f64::from(value / 3.0)) as f32) * 3.0;
        let colours = run_in_tiles(engine, &self.decoder, &each(latents, soft)?, window)?;
        each(&colours, |value| value * 2.0 - 1.0)
    }
}

fn load_encoder<B: Backend>(
    sizes: &TinySizes,
    latents: usize,
    place: &Place<'_, '_, B>,
) -> Result<Vec<Layer<B>>, Error> {
    let list = Vec::new();
    let mut layers = Layers {
        place,
        list,
        index: 0,
    };
    let mut channels = COLOURS;
    for (stage, &(width, blocks)) in sizes.encoder.iter().enumerate() {
        let place = layers.next();
        layers.list.push(if stage == 0 {
            Layer::Convolution(place.conv2d(COLOURS, width, 3)?)
        } else {
            Layer::Reduce(place.conv2d_without_bias(width, width, 3)?)
        });
        layers.blocks(blocks, width)?;
        channels = width;
    }
    let last = layers.next().conv2d(channels, latents, 3)?;
    layers.list.push(Layer::Convolution(last));
    Ok(layers.list)
}

fn load_decoder<B: Backend>(
    sizes: &TinySizes,
    latents: usize,
    place: &Place<'_, '_, B>,
) -> Result<Vec<Layer<B>>, Error> {
    let list = Vec::new();
    let mut layers = Layers {
        place,
        list,
        index: 0,
    };
    let first = layers.next().conv2d(latents, sizes.decoder[0].0, 3)?;
    layers.list.push(Layer::Convolution(first));
    layers.next(); // the activation
    layers.list.push(Layer::Relu);
    for (stage, &(width, blocks)) in sizes.decoder.iter().enumerate() {
        layers.blocks(blocks, width)?;
        let last = stage + 1 == sizes.decoder.len();
        if last {
            let conv = layers.next().conv2d(width, COLOURS, 3)?;
            layers.list.push(Layer::Convolution(conv));
        } else {
            layers.next(); // the enlargement, fused with the convolution after it
            let conv = layers.next().conv2d_without_bias(width, width, 3)?;
            layers.list.push(Layer::Enlarge(conv));
        }
    }
    Ok(layers.list)
}

fn each(tensor: &Tensor, number: impl Fn(f32) -> f32) -> Result<Tensor, Error> {
    let numbers = tensor.data().iter().map(|&value| number(value)).collect();
    Ok(Tensor::new(tensor.shape(), numbers)?)
}

fn run<B: Backend>(engine: &B, layers: &[Layer<B>], input: &Tensor) -> Result<Tensor, Error> {
    let mut state = engine.upload(input);
    for layer in layers {
        state = layer.run(engine, &state)?;
    }
    Ok(engine.download(&state))
}

/// [`run`] on tiles of `window` latents each way. Nothing here looks further than its convolutions do, so tiles with that
/// much around them give what the whole gives.
fn run_in_tiles<B: Backend>(
    engine: &B,
    layers: &[Layer<B>],
    input: &Tensor,
    window: Option<usize>,
) -> Result<Tensor, Error> {
    let Some(window) = window else {
        return run(engine, layers, input);
    };
    let tiles = tiles(layers, window);
    if tiles.hold(tiles.cells(input)?) {
        return run(engine, layers, input);
    }
    each_picture(input, |picture| {
        tiles.run(picture, |tile| run(engine, layers, tile))
    })
}

/// How layers are cut into tiles of `window` latents each way.
fn tiles<B: Backend>(layers: &[Layer<B>], window: usize) -> Tiles {
    let looks = layers.iter().map(|layer| match layer {
        Layer::Convolution(_) => Look::Around(1.0),
        Layer::Block(_) => Look::Around(3.0),
        Layer::Relu => Look::Around(0.0),
        Layer::Reduce(_) => Look::Reduced(1.0),
        Layer::Enlarge(_) => Look::Enlarged(1.0),
    });
    Tiles::through(window, looks)
}

impl<B: Backend> Layer<B> {
    fn run(&self, engine: &B, input: &B::Tensor) -> Result<B::Tensor, Error> {
        let around = ConvCall {
            padding: Padding::all(1),
            ..ConvCall::default()
        };
        Ok(match self {
            Self::Convolution(weights) => engine.conv2d(input, weights, around)?,
            Self::Reduce(weights) => {
                let call = ConvCall {
                    stride: 2,
                    ..around
                };
                engine.conv2d(input, weights, call)?
            }
            Self::Enlarge(weights) => {
                let shape = input.shape();
                let call = ConvCall {
                    enlarge_to: Some([2 * shape[1], 2 * shape[2]]),
                    ..around
                };
                engine.conv2d(input, weights, call)?
            }
            Self::Relu => engine.activate(input, Activation::Relu)?,
            Self::Block(block) => block.run(engine, input)?,
        })
    }
}

impl<B: Backend> Block<B> {
    fn run(&self, engine: &B, input: &B::Tensor) -> Result<B::Tensor, Error> {
        let [first, second, third] = &self.convolutions;
        let call = |activation, residual| ConvCall {
            padding: Padding::all(1),
            activation,
            residual,
            ..ConvCall::default()
        };
        let relu = Some(Activation::Relu);
        let state = engine.conv2d(input, first, call(relu, None))?;
        let state = engine.conv2d(&state, second, call(relu, None))?;
        let sum = engine.conv2d(&state, third, call(None, Some(input)))?;
        Ok(engine.activate(&sum, Activation::Relu)?)
    }
}
